"""Turn what botocore raises into one AwsError: what AWS refused, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from shipit.errors import AwsError, AwsLoggedOut, AwsThrottled, AwsUnavailable

THROTTLES = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
)
_TRANSIENT = THROTTLES | {"InternalFailure", "InternalError", "ServiceUnavailable", "InternalServiceError"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"}
#: What services say of a signature that is dated more than a few minutes away from their own time, where the code
#: (InvalidSignatureException, SignatureDoesNotMatch) does not; S3 has the code RequestTimeTooSkewed for it.
_MISDATED = ("Signature expired", "Signature not yet current")
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException"}
_LOGIN = "log in again (`aws sso login`), or set AWS_PROFILE or `profile` in shipit.toml"
_REGION = "check `region` in shipit.toml or AWS_REGION"

_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
)
_LOGGED_OUT = (boto.SSOError, boto.TokenRetrievalError)
_UNREACHED = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)


def explain(error: BotoCoreError | ClientError) -> AwsError:
    """Return the error for people: one line of what, one of what to do; the code of AWS stays in it."""
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, _NO_CREDENTIALS):
        return AwsLoggedOut(f"no AWS credentials: {error}", hint=_LOGIN)
    if isinstance(error, _LOGGED_OUT):
        return AwsLoggedOut(f"the AWS login has ended: {error}", hint=_LOGIN)
    if isinstance(error, boto.NoRegionError):
        return AwsError("no AWS region is set", hint="add `region` to shipit.toml, or set AWS_REGION")
    if isinstance(error, boto.InvalidRegionError):
        return AwsError(str(error), hint=_REGION)
    if isinstance(error, _UNREACHED):
        return AwsUnavailable(f"AWS is out of reach: {error}", hint=f"check the network; {_REGION}")
    return AwsError(f"{type(error).__name__}: {error}")


@contextmanager
def explained() -> Iterator[None]:
    """Raise AwsError, or AwsUnavailable where it may pass, in place of what botocore raises in the block."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise explain(error) from error


def code_of(error: ClientError) -> str:
    """Return AWS's code of the error, such as `NoSuchBucket`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refused(error: ClientError) -> AwsError:
    code, operation = code_of(error), error.operation_name
    details = error.response.get("Error", {})
    said = details.get("Message", "") or code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "RequestTimeTooSkewed" or said.startswith(_MISDATED):
        # It passes once the clock is right again, as after a step that is taken back.
        return AwsUnavailable(
            f"AWS refused {operation}, for this machine's clock is wrong ({code})", hint="set the clock, by NTP"
        )
    if code in _EXPIRED:
        return AwsLoggedOut(f"the AWS credentials have expired ({operation}: {code})", hint=_LOGIN)
    if code in _UNKNOWN_KEY or code == "SignatureDoesNotMatch":
        return AwsLoggedOut(f"AWS does not accept this access key ({operation}: {code})", hint=_LOGIN)
    if code in _DENIED:
        return AwsError(
            f"AWS denied {operation}: {said}", hint="docs/iam.md lists the permissions that each role needs"
        )
    if code in THROTTLES:
        return AwsThrottled(f"AWS did not serve {operation}: {code}: {said}", hint="try again in a minute")
    if code in _TRANSIENT or status >= 500:
        return AwsUnavailable(f"AWS did not serve {operation}: {code}: {said}", hint="try again in a minute")
    if code in _WRONG_REGION:
        return AwsError(f"{operation}: the bucket is in another region ({code}: {said})", hint=_REGION)
    if code == "400":
        # The answer to a HEAD has no body, so that S3 cannot say why: a wrong region and an expired token look alike.
        return AwsError(f"S3 refused {operation} and gives no reason", hint=f"{_REGION}; or {_LOGIN}")
    if code == "NoSuchBucket":
        bucket = details.get("BucketName", "")
        return AwsError(f"{operation}: the bucket {bucket} does not exist", hint="check `bucket` in shipit.toml")
    if operation == "StartQueryExecution" and said.startswith("WorkGroup"):
        return AwsError(
            f"Athena: {said}", hint="inv setup.reports makes the workgroup that `reports.workgroup` names"
        )
    if code == "ApplicationDoesNotExistException":
        return AwsError(f"CodeDeploy: {said}", hint=f"check `application` in shipit.toml; {_REGION}")
    return AwsError(f"{operation}: {code}: {said}")
