"""A NETCONF server that is not ours, in a network of its own; its one connection comes and goes by standard input and
output."""

import os
import socket
import subprocess
import sys
import tempfile
import threading

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

import paramiko
from lxml import etree
from netconf import server

LICENSING = "http://cisco.com/ns/yang/cisco-smart-license"
FILES = "http://cisco.com/ns/yang/Cisco-IOS-XE-rpc"
CAPABILITY = "{urn:ietf:params:xml:ns:netconf:base:1.0}capability"

STATE = """
<data xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">
  <sl:licensing xmlns:sl="%s"><sl:state><sl:smart-enabled>true</sl:smart-enabled><sl:state-info>
    <sl:udi><sl:pid>C8000V</sl:pid><sl:sn>9INVENTED77</sl:sn></sl:udi>
    <sl:rum-ack><sl:last-received-time>2026-02-02T10:00:00+02:00</sl:last-received-time></sl:rum-ack>
    <sl:policy><sl:policy-name>J&#252;rgen &amp; S&#xf6;hne</sl:policy-name><sl:ack-required>true</sl:ack-required></sl:policy>
  </sl:state-info></sl:state></sl:licensing>
  <native xmlns="http://cisco.com/ns/yang/Cisco-IOS-XE-native"><hostname>peer-1</hostname></native>
</data>""" % LICENSING


class Methods(server.NetconfMethods):
    def nc_append_capabilities(self, capabilities):
        uri = LICENSING + "?module=cisco-smart-license&revision=2021-03-01"
        etree.SubElement(capabilities, CAPABILITY).text = uri

    def rpc_get(self, session, rpc, filter_or_none):
        assert filter_or_none.find(".//{%s}rum-ack" % LICENSING) is not None
        return etree.fromstring(STATE)

    def rpc_rum_save_usage_days(self, session, rpc, *leaves):
        told = {etree.QName(leaf).localname: leaf.text for leaf in leaves}
        code = etree.Element("{%s}return-code" % LICENSING)
        code.text = "success" if told == {"file-path": "bootflash:a&b.xml", "days": "30"} else "BadInputParams"
        return code

    def rpc_import_file(self, session, rpc, *leaves):
        code = etree.Element("{%s}return-code" % LICENSING)
        code.text = "verifysignaturefailed"
        return code

    def rpc_delete(self, session, rpc, *leaves):
        result = etree.Element("{%s}result" % FILES)
        result.text = "RPC request successful"
        return result


with tempfile.TemporaryDirectory() as folder:
    key = os.path.join(folder, "key")
    paramiko.RSAKey.generate(2048).write_private_key_file(key)
    login = server.SSHUserPassController(username="slp", password="only-in-the-lab")
    serving = server.NetconfSSHServer(server_ctl=login, server_methods=Methods(), port=0, host_key=key)

peer = socket.create_connection(("localhost", serving.port))


def inward():
    while piece := os.read(0, 65536):
        peer.sendall(piece)
    peer.shutdown(socket.SHUT_WR)


threading.Thread(target=inward, daemon=True).start()
while piece := peer.recv(65536):
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
os._exit(0)
