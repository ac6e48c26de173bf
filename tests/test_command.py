"""What all tasks share: an interrupt stays one, whatever goes wrong while it is dealt with."""

from shipit.command import hides_interrupt


def raised(first: type[BaseException], then: type[BaseException]) -> BaseException:
    try:
        try:
            raise first
        finally:
            raise then
    except BaseException as error:
        return error


def test_an_error_on_the_way_out_of_an_interrupt_is_the_interrupt() -> None:
    assert hides_interrupt(raised(KeyboardInterrupt, AttributeError))


def test_an_error_that_follows_another_error_is_an_error() -> None:
    assert not hides_interrupt(raised(ValueError, AttributeError))
    assert not hides_interrupt(AttributeError())
