"""The official Cloudflare client changes a zone of the sandbox: argv is the API's address, a token and the zone."""
import sys

from cloudflare import APIStatusError, Cloudflare

dns = Cloudflare(api_token=sys.argv[2], base_url=sys.argv[1], max_retries=0)


def refused(status, code, call):
    try:
        call()
    except APIStatusError as error:
        assert error.status_code == status and code in [one.code for one in error.errors], error
        return
    raise AssertionError(f"not refused with {code}")


def contents(**where):
    return sorted(record.content for record in dns.dns.records.list(zone_id=zone.id, **where))


assert dns.user.tokens.verify().status == "active"
zone = next(iter(dns.zones.list(name=sys.argv[3])))
assert dns.zones.get(zone_id=zone.id).name == sys.argv[3]
api = f"api.{sys.argv[3]}"
record = dns.dns.records.create(zone_id=zone.id, type="A", name="api", content="127.91.9.10", ttl=1, proxied=True,
                                comment="relight")
assert (record.name, record.comment, record.proxied) == (api, "relight", True)
assert contents(name={"exact": api}) == ["127.91.9.10"]
assert contents(comment={"contains": "light"}, type="A") == ["127.91.9.10"]
assert contents(name={"startswith": "www."}) == []
edited = dns.dns.records.edit(record.id, zone_id=zone.id, type="A", name=api, content="127.91.9.11", ttl=1)
assert (edited.content, edited.proxied) == ("127.91.9.11", True), "what a PATCH does not name stays"
put = dns.dns.records.update(record.id, zone_id=zone.id, type="A", name=api, content="127.91.9.12", ttl=60)
assert (put.proxied, put.ttl, put.comment) == (False, 60, None), "what a PUT does not name falls to its default"
batch = dns.dns.records.batch(zone_id=zone.id, posts=[{"type": "A", "name": "@", "content": "127.91.9.13", "ttl": 1}],
                              patches=[{"id": record.id, "content": "127.91.9.14"}])
assert (batch.posts[0].name, batch.patches[0].content, batch.deletes) == (sys.argv[3], "127.91.9.14", None)
refused(400, 1004, lambda: dns.dns.records.create(zone_id=zone.id, type="A", name="x", content="nope", ttl=1))
refused(404, 81044, lambda: dns.dns.records.batch(zone_id=zone.id, deletes=[{"id": record.id}, {"id": "0" * 32}]))
assert len(contents()) == 2, "a batch is made as a whole or not at all"
for number in range(130):
    dns.dns.records.create(zone_id=zone.id, type="TXT", name=f"t{number}", content=str(number), ttl=1)
assert len(contents()) == 132, "more than a page"
assert dns.dns.records.delete(record.id, zone_id=zone.id).id == record.id
assert dns.zones.settings.get("ssl", zone_id=zone.id).value == "flexible"
print("dns: as it should be")
