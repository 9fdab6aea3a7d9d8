"""A NETCONF client that is not ours. Arguments: port, user, password. Prints what it met, line by line."""

import sys

from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError
from ncclient.xml_ import to_ele

LICENSING = "http://cisco.com/ns/yang/cisco-smart-license"
FILTER = '<licensing xmlns="%s"><state><state-info><udi/><rum-ack/></state-info></state></licensing>' % LICENSING

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = manager.connect(
    host="127.0.0.1",
    port=port,
    username=user,
    password=password,
    hostkey_verify=False,
    allow_agent=False,
    look_for_keys=False,
    timeout=60,
    device_params={"name": "iosxe"},
)


def call(name, leaf, value, namespace=LICENSING):
    request = '<%s xmlns="%s"><%s>%s</%s></%s>' % (name, namespace, leaf, value, leaf, name)
    try:
        reply = etree.fromstring(session.dispatch(to_ele(request)).xml.encode())
        print(name, "".join(reply.itertext()).strip())
    except RPCError as error:
        print(name, "error", error.tag)


with session:
    modules = [uri for uri in session.server_capabilities if "cisco-smart-license" in uri]
    print("revision", modules[0].split("revision=")[1] if modules else "none")
    print("chunked", "urn:ietf:params:netconf:base:1.1" in session.server_capabilities)
    state = etree.fromstring(session.get(filter=("subtree", FILTER)).data_xml.encode())
    print("serial", state.find(".//{%s}sn" % LICENSING).text)
    print("others", len(state.findall(".//{%s}policy" % LICENSING)))
    call("rum-save-usage-all", "file-path", "bootflash:all.xml")
    call("import-file", "file-path", "bootflash:absent.xml")
    call("delete", "filename-drop-node-name", "bootflash:all.xml", "http://cisco.com/ns/yang/Cisco-IOS-XE-rpc")
    call("frobnicate", "file-path", "x")
print("closed")
