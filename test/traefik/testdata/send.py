"""Sends a purge as the addon does (odoo/addons/odoocache/post.py), and prints what it
makes of the answer: "done", or what its log says.

send.py ADDON NAME=ADDRESS...: settings are taken from the environment, and what is at
NAME (a host with its port) is looked for at ADDRESS, as a network's DNS would have it.
"""
import importlib
import os
import socket
import sys
import types

addon, places = sys.argv[1], dict(word.split('=') for word in sys.argv[2:])
package = types.ModuleType('odoocache')
package.__path__ = [addon]
sys.modules['odoocache'] = package
post = importlib.import_module('odoocache.post')
tools = importlib.import_module('odoocache.tools')

connect = socket.create_connection


def create_connection(address, *args, **kwargs):
    place = places.get('%s:%d' % address[:2])
    if place:
        host, _colon, port = place.rpartition(':')
        address = (host, int(port))
    return connect(address, *args, **kwargs)


socket.create_connection = create_connection
host = os.environ.get('ODOOCACHE_EDGE_HOST', '')
for url in os.environ['ODOOCACHE_EDGE_URL'].split():
    try:
        answer = post.purge(url, host, os.environ['ODOOCACHE_SECRET'], 'shop', tools.purge_body({'*'}), 2)
    except Exception as error:
        print(post.failure(url, host, error, 2))
        continue
    print('done' if answer[0] == 200 and post.of_edge(answer[2]) else post.refusal(url, host, *answer))
