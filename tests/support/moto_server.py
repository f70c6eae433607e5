"""Serves the EC2 emulator on a free loopback port and prints the port.

Ends by itself when its parent is gone (standard input closes) or after 20 minutes, so that no killed test run
leaves it behind.
"""

import logging
import os
import sys
import threading

from moto.cloudformation.models import CloudFormationBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

LIFETIME_SECONDS = 20 * 60


def end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def tell_outputs_of_change_sets() -> None:
    """A stack that a change set has made has outputs at AWS; the emulator tells them of `CreateStack` only."""
    execute = CloudFormationBackend.execute_change_set

    def executed(self, change_set_name, stack_name=None):
        execute(self, change_set_name, stack_name)
        for stack in self.stacks.values():
            stack._parse_template()
            stack.output_map = stack._create_output_map()

    CloudFormationBackend.execute_change_set = executed


def main() -> None:
    tell_outputs_of_change_sets()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    threading.Thread(target=end_with_parent, daemon=True).start()
    timer = threading.Timer(LIFETIME_SECONDS, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


main()
