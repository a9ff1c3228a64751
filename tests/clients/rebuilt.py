"""The official clients look at a rebuilt sandbox and change something of their own there: argv is the name of a check.

The environment is what `relight sandbox env` prints; RUN is the run that made the cluster.
"""
import os
import sys
import warnings

from cloudflare import Cloudflare
from hcloud import Client

warnings.simplefilter("ignore", DeprecationWarning)
CLUSTER, ZONE = "honeydue", "myhoneydue.com"
NODES = [f"{CLUSTER}-node-{number}" for number in (1, 2, 3)]
HOSTS = [ZONE, f"api.{ZONE}", f"admin.{ZONE}"]
MADE = f"managed-by=relight,relight-cluster={CLUSTER},relight-run={os.environ['RUN']}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF1mjkUO3qnEtHLZhcZYcPbZ4q7pGJQ5Vd6JzDmqVqCx me@x"
cloud = Client(token=os.environ["HCLOUD_TOKEN"], api_endpoint=os.environ["HCLOUD_ENDPOINT"], poll_interval=0.02)
dns = Cloudflare(max_retries=0)


def nodes():
    return sorted(cloud.servers.get_all(label_selector=MADE), key=lambda server: server.name)


def zone():
    return next(iter(dns.zones.list(name=ZONE))).id


def records():
    return sorted((record.name, record.content) for record in dns.dns.records.list(zone_id=zone(), type="A"))


def servers():
    assert [server.name for server in nodes()] == NODES
    assert {server.status for server in nodes()} == {"running"}
    assert len({server.labels["relight-step"] for server in nodes()}) == 3, "each has a step of its own"


def old_servers():
    old = [server for server in cloud.servers.get_all() if server.name not in NODES]
    assert len(old) == 3 and {server.status for server in old} == {"off"}, [(s.name, s.status) for s in old]


def network():
    found = cloud.networks.get_all(label_selector=MADE)
    assert len(found) == 1 and sorted(s.name for s in found[0].servers if s.reload() is None) == NODES
    assert all(server.private_net[0].network.id == found[0].id for server in nodes())


def firewall():
    found = cloud.firewalls.get_all(label_selector=MADE)
    assert found and all(one.rules for one in found)
    ours = {one.id for one in found}
    for server in nodes():
        assert ours & {applied.firewall.id for applied in server.public_net.firewalls}, server.name


def placement_group():
    found = cloud.placement_groups.get_all(label_selector=MADE)
    assert len(found) == 1 and found[0].type == "spread"
    assert sorted(found[0].servers) == sorted(server.id for server in nodes())


def ssh_key():
    found = cloud.ssh_keys.get_all(label_selector=MADE)
    assert len(found) == 1 and found[0].public_key.startswith("ssh-ed25519 ")


def made_records():
    wanted = [(host, server.public_net.ipv4.ip) for host in HOSTS for server in nodes()]
    assert records() == sorted(wanted), records()


def own_key():
    key = cloud.ssh_keys.create(name="own", public_key=KEY)
    assert cloud.ssh_keys.get_by_name("own").id == key.id
    assert key.delete() and cloud.ssh_keys.get_by_name("own") is None


def make_server():
    made = cloud.servers.create(name="own", server_type=cloud.server_types.get_by_name("cx33"),
                                image=cloud.images.get_by_name_and_architecture("ubuntu-24.04", "x86"),
                                location=cloud.locations.get_by_name("nbg1"))
    made.action.wait_until_finished()
    assert cloud.servers.get_by_name("own").status == "running"


def delete_server():
    cloud.servers.get_by_name("own").delete().wait_until_finished()
    assert cloud.servers.get_by_name("own") is None


def make_record():
    dns.dns.records.create(zone_id=zone(), type="A", name=f"own.{ZONE}", content="192.0.2.1", ttl=60)
    assert (f"own.{ZONE}", "192.0.2.1") in records()


def delete_record():
    for record in dns.dns.records.list(zone_id=zone(), name={"exact": f"own.{ZONE}"}):
        dns.dns.records.delete(record.id, zone_id=zone())
    made_records()


def move_record():
    first = nodes()[0].public_net.ipv4.ip
    found = list(dns.dns.records.list(zone_id=zone(), name={"exact": f"api.{ZONE}"}, content={"exact": first}))
    dns.dns.records.edit(found[0].id, zone_id=zone(), type="A", name=f"api.{ZONE}", content="192.0.2.7", ttl=1)


def move_record_back():
    found = list(dns.dns.records.list(zone_id=zone(), content={"exact": "192.0.2.7"}))
    first = nodes()[0].public_net.ipv4.ip
    dns.dns.records.edit(found[0].id, zone_id=zone(), type="A", name=f"api.{ZONE}", content=first, ttl=1)
    made_records()


globals()[sys.argv[1]]()
