"""The official Hetzner client lives a whole life in the sandbox: argv is the API's address and a token."""
import sys
import warnings

from hcloud import APIException, Client
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF1mjkUO3qnEtHLZhcZYcPbZ4q7pGJQ5Vd6JzDmqVqCx me@x"
cloud = Client(token=sys.argv[2], api_endpoint=sys.argv[1], poll_interval=0.02)
warnings.simplefilter("ignore", DeprecationWarning)


def refused(code, call):
    try:
        call()
    except APIException as error:
        assert error.code == code, error
        assert error.correlation_id, "every refusal can be told to the support"
        return
    raise AssertionError(f"not refused with {code}")


def done(*actions):
    for action in actions:
        action.wait_until_finished()


key = cloud.ssh_keys.create(name="key", public_key=KEY, labels={"a": "b"})
assert [one.name for one in cloud.ssh_keys.get_all(label_selector="a in (b,c)")] == ["key"]
assert cloud.ssh_keys.get_by_fingerprint(key.fingerprint).id == key.id
refused("uniqueness_error", lambda: cloud.ssh_keys.create(name="other", public_key=KEY))
first = NetworkSubnet(ip_range="10.0.0.0/24", network_zone="eu-central", type="cloud")
network = cloud.networks.create(name="net", ip_range="10.0.0.0/16", subnets=[first])
done(network.add_subnet(NetworkSubnet(ip_range="10.0.1.0/24", network_zone="eu-central", type="cloud")))
rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0"])
firewall = cloud.firewalls.create(name="fw", rules=[rule]).firewall
group = cloud.placement_groups.create(name="group", type="spread").placement_group

made = cloud.servers.create(
    name="node-1", server_type=ServerType("cx33"), image=Image(name="ubuntu-24.04"), location=Location("nbg1"),
    ssh_keys=[key], networks=[network], firewalls=[firewall], placement_group=group, labels={"run": "1"},
    user_data="#cloud-config",
)
assert made.root_password is None
done(made.action, *made.next_actions)
server = cloud.servers.get_by_name("node-1")
assert (server.status, server.location.name, server.image.name) == ("running", "nbg1", "ubuntu-24.04")
assert server.placement_group.id == group.id and server.private_net[0].ip.startswith("10.0.0.")
assert server.public_net.firewalls[0].firewall.id == firewall.id
refused("uniqueness_error", lambda: cloud.servers.create(
    name="node-1", server_type=ServerType("cx33"), image=Image(name="ubuntu-24.04")))

done(server.power_off())
server.reload()
assert server.status == "off"
done(server.power_on())
done(server.reboot())
done(server.reset())
done(server.detach_from_network(network))
done(server.attach_to_network(network, ip="10.0.1.7"))
server.reload()
assert server.private_net[0].ip == "10.0.1.7"
assert server.update(name="node-1-old", labels={"run": "2"}).labels == {"run": "2"}
done(server.change_protection(delete=True, rebuild=True))
refused("protected", server.delete)
refused("protected", lambda: server.rebuild(image=Image(name="debian-12")))
done(server.change_protection(delete=False, rebuild=False))
done(server.rebuild(image=Image(name="debian-12")).action)
done(*firewall.set_rules([FirewallRule(direction="in", protocol="icmp", source_ips=["::/0"])]))
refused("resource_in_use", firewall.delete)
done(*firewall.remove_from_resources([FirewallResource(type="server", server=server)]))
assert "rebuild_server" in [action.command for action in server.get_actions()]
done(server.shutdown())
done(server.delete())
assert cloud.servers.get_all() == []
refused("not_found", lambda: cloud.servers.get_by_id(server.id))
for thing in (firewall, network, group, key):
    assert thing.delete()

assert cloud.server_types.get_by_name("cx33").locations[0].available is True
assert cloud.images.get_by_name_and_architecture("ubuntu-24.04", "arm").architecture == "arm"
assert "hel1" in [place.name for place in cloud.locations.get_all()]
assert cloud.primary_ips.get_all() == []
refused("deprecated_api_endpoint", cloud.datacenters.get_all)
for number in range(60):
    cloud.ssh_keys.create(name=f"key-{number}", public_key=f"ssh-ed25519 AAAA{number:04d} x")
assert len(cloud.ssh_keys.get_all()) == 60
assert cloud.ssh_keys.get_list(page=2, per_page=25).meta.pagination.next_page == 3
print("hetzner: as it should be")
