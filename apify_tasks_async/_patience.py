"""How long an attempt may take, and what the error of a timeout says. Pure."""

from apify_tasks_async.errors import ApifyTasksError, RequestTimeoutError


def full_time(timeout: float, number: int) -> float:
    """Return the seconds for attempt `number`: twice as many as for the one before, since a slow server stays slow."""
    return timeout * 2.0 ** min(number - 1, 64)


def explain_timeout(
    error: RequestTimeoutError, *, timeout: float, number: int, deadline: float, before: ApifyTasksError | None
) -> None:
    """Complete the error of attempt `number`: where its seconds come from, and what can be changed about that.

    Args:
        error: The error.
        timeout: Seconds for the first attempt.
        number: The number of the attempt.
        deadline: Seconds for all attempts.
        before: The error of the attempt before. Unless that was a timeout, too, it tells more about the server than an
            attempt that had little time left.
    """
    if error.timeout is None:
        error.advice = "raise the timeout of the session, or try again later"
    elif error.timeout < full_time(timeout, number):
        error.problem += f", all that the deadline of {deadline:g} s left"
        if before is not None and not isinstance(before, RequestTimeoutError):
            error.problem += f"; the attempt before ended with: {before.problem}"
        error.advice = "raise the `deadline` of the retry policy, or try again later"
    else:
        if number > 1:
            error.problem += f", which is `timeout`, {timeout:g} s, doubled with each attempt"
        if error.limit == 1:
            error.advice = "raise `timeout`, or try again later"
