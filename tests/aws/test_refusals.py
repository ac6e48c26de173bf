"""What AWS refuses becomes one line that says what to do; a throttle or a lost connection is told apart."""

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from shipit.aws.refusals import explain, explained
from shipit.errors import AwsError, AwsUnavailable


def refused(code: str, message: str = "said so", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # the rest is not read
        "CreateDeployment",
    )


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("ExpiredTokenException", "expired"),
        ("InvalidClientTokenId", "access key"),
        ("SignatureDoesNotMatch", "access key"),
        ("AccessDeniedException", "denied CreateDeployment"),
        ("PermanentRedirect", "another region"),
        ("NoSuchBucket", "does not exist"),
        ("ApplicationDoesNotExistException", "said so"),
        ("SomethingNew", "SomethingNew: said so"),
    ],
)
def test_a_refusal_is_one_line_with_its_reason(code: str, word: str) -> None:
    error = explain(refused(code))
    assert word in error.message
    assert "\n" not in error.message
    assert not isinstance(error, AwsUnavailable)
    assert error.exit_code == 7


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("SlowDown", 503), ("502", 502)])
def test_what_may_pass_is_told_apart(code: str, status: int) -> None:
    assert isinstance(explain(refused(code, status=status)), AwsUnavailable)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20260101T010000Z is still later than 20260101T000000Z"),
    ],
)
def test_a_wrong_clock_is_named_and_may_be_right_again_later(code: str, message: str) -> None:
    error = explain(refused(code, message, status=403))
    assert isinstance(error, AwsUnavailable)
    assert "clock is wrong" in error.message
    assert not isinstance(
        explain(refused("InvalidSignatureException", "The request signature does not match")), AwsUnavailable
    )


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (boto.NoCredentialsError(), "profile"),
        (boto.ProfileNotFound(profile="nobody"), "profile"),
        (boto.UnauthorizedSSOTokenError(), "aws sso login"),
        (boto.NoRegionError(), "region"),
        (boto.EndpointConnectionError(endpoint_url="https://example.invalid"), "network"),
    ],
)
def test_what_never_reached_aws_says_what_to_set(error: boto.BotoCoreError, hint: str) -> None:
    assert hint in explain(error).hint


def test_a_refusal_that_s3_cannot_explain_names_what_it_may_be() -> None:
    error = explain(refused("400"))
    assert "gives no reason" in error.message
    assert "region" in error.hint
    assert "log in" in error.hint


def test_the_cause_is_kept_for_the_traceback() -> None:
    cause = boto.NoRegionError()
    with pytest.raises(AwsError) as caught, explained():
        raise cause
    assert caught.value.__cause__ is cause
