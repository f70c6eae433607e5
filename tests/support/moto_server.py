"""Serves the EC2 emulator on a free loopback port and prints the port.

Ends by itself when its parent is gone (standard input closes) or after 20 minutes, so that no killed test run
leaves it behind.
"""

import logging
import os
import sys
import threading

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

import service_model

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


def leave_out_what_is_no_value() -> None:
    """`AWS::NoValue` takes an entry out of a list at AWS; the emulator puts a null there."""
    clean = parsing.clean_json

    def cleaned(resource_json, resources_map):
        found = clean(resource_json, resources_map)
        return [one for one in found if one is not None] if isinstance(found, list) else found

    parsing.clean_json = cleaned


def main() -> None:
    leave_out_what_is_no_value()
    tell_outputs_of_change_sets()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    threading.Thread(target=end_with_parent, daemon=True).start()
    timer = threading.Timer(LIFETIME_SECONDS, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
    # EC2's model is large: read beside the start, so that no call waits for it.
    threading.Thread(target=service_model.model, args=("ec2",), daemon=True).start()
    emulator = service_model.app(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, emulator, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


main()
