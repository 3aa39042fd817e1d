"""How many connections one address may hold open."""

from oasst.core.http.connection_limits import ConnectionLimiter


def test_who_is_counted() -> None:
    class Transport:
        def __init__(self, host: str) -> None:
            self.host, self.connected = host, 1

        def getPeer(self) -> "Transport":
            return self

    limiter, kept = ConnectionLimiter(2), []

    def takes(host: str) -> bool:
        kept.append(Transport(host))
        return limiter.admits(kept[-1])

    assert [takes("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert not takes("::ffff:192.0.2.1") and takes("192.0.2.2")
    assert [takes(f"2001:db8:1:{number}::1") for number in range(3)] == [True, True, False], "a /48 is one"
    assert takes("2001:db8:2::1")
    for own in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert all(takes(own) for _ in range(5)), "a proxy on this machine stands for everybody"
    kept[0].connected = 0
    assert takes("192.0.2.1") and not takes("192.0.2.1")
    in_all = ConnectionLimiter(0, in_all=3)
    assert [in_all.admits(one) for one in [Transport("127.0.0.1") for _ in range(4)]] == [True] * 3 + [False]
    unbounded = ConnectionLimiter(0)
    assert all(unbounded.admits(Transport("192.0.2.1")) for _ in range(500))
