"""What benches/access.rs asks of its devices, asked by netmiko and requests: one pass, ten devices at once."""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 10
SYSTEMS = {"ios-xe": "cisco_xe", "ios-xr": "cisco_xr", "nx-os": "cisco_nxos"}
SHOW = ["show version", "show license all", "show license rum id all"]
YANG = "application/yang-data+json"
STATE = "/restconf/data/cisco-smart-license:licensing/state"
LEAVES = [
    "/restconf/data/Cisco-IOS-XE-native:native/hostname",
    "/restconf/data/Cisco-IOS-XE-native:native/version",
]


def by_ssh(row):
    from netmiko import ConnectHandler

    device = ConnectHandler(
        device_type=SYSTEMS[row["os"]],
        host=row["address"],
        port=int(row["ssh_port"]),
        username=USER,
        password=PASSWORD,
        use_keys=False,
        allow_agent=False,
    )
    with device:
        return sum(len(device.send_command(line, read_timeout=60)) for line in SHOW)


def by_https(row):
    import requests

    base = f"https://{row['address']}:{row['port']}"
    with requests.Session() as session:
        session.auth = (USER, PASSWORD)
        session.verify = False
        # Else a bundle named in the environment is used all the same.
        session.trust_env = False

        def ask(path, accept):
            answer = session.get(base + path, headers={"Accept": accept}, timeout=60)
            return answer.json() if answer.ok and answer.content else None

        if ask(STATE, YANG):
            for leaf in LEAVES:
                ask(leaf, YANG)
        return len(str(ask("/smartlic-service/list", "application/json")))


def tried(row):
    try:
        return ASK(row) > 0
    except Exception as error:  # one device's trouble is one line
        print(f"{row['name']}: {type(error).__name__}: {error}", file=sys.stderr)
        return False


access, devices, USER, PASSWORD, inventory = sys.argv[1:]
ASK = by_ssh if access == "ssh" else by_https
if access != "ssh":
    import urllib3

    urllib3.disable_warnings()
with open(inventory, newline="") as file:
    rows = list(csv.DictReader(file))[: int(devices)]
with ThreadPoolExecutor(AT_ONCE) as pool:
    good = sum(pool.map(tried, rows))
print(f"{AT_ONCE} at once, {len(rows) - good} failed")
