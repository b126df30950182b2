"""The catalogue: every work, in the order of the report."""

from model import Work
from works import (
    balance,
    django,
    hello,
    hello_log,
    http_balance,
    http_connection,
    http_connections,
    http_django,
    http_echo,
    http_keepalive,
    http_log,
    http_static,
    http_upload,
    https_connection,
    https_keepalive,
    kill,
    memory,
    observed,
    page,
    quick,
    reload,
    sleep,
    start,
    wagtail,
)

ALL: dict[str, Work] = {
    module.WORK.name: module.WORK
    for module in (
        hello,
        hello_log,
        django,
        memory,
        balance,
        http_balance,
        quick,
        page,
        sleep,
        observed,
        wagtail,
        reload,
        kill,
        http_keepalive,
        http_connection,
        http_log,
        http_django,
        http_static,
        http_upload,
        http_echo,
        http_connections,
        https_keepalive,
        https_connection,
        start,
    )
}
