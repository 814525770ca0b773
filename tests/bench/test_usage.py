"""Which part a process plays, and what it spent."""

import os

import psutil
import pytest

from bench.usage import ROLES, by_role, cpu_seconds, own_mib, part, resident_mib, spent


@pytest.mark.parametrize(
    ("command", "name", "expected"),
    [
        (["python", "-m", "modelserver", "--model_base_path=/m"], "python", "model server"),
        (["/opt/tensorflow_model_server", "--model_base_path=/m"], "tensorflow_mode", "model server"),
        (["ray::ServeReplica:tensorloom:Ingress"], "ray::ServeRepli", "Ingress"),
        (["ray::ServeReplica:app:decoder-tales-gpt.generate"], "ray::ServeRepli", "decoder-tales-gpt"),
        (["ray::ProxyActor"], "ray::ProxyActor", "ProxyActor"),
        (["/x/raylet", "--node=1"], "raylet", "raylet"),
        (["/x/python", "-u", "/x/ray/dashboard/dashboard.py", "--host=h"], "python3.11", "dashboard"),
        ([], "gone", "gone"),
    ],
)
def test_a_process_s_part_is_read_from_its_command_line(command, name, expected):
    assert part(command, name) == expected


def test_seconds_are_added_up_by_part():
    before = {(1, "Ingress"): 1.0, (2, "Ingress"): 2.0, (3, "raylet"): 5.0}
    after = {(1, "Ingress"): 1.5, (2, "Ingress"): 4.0, (3, "raylet"): 5.0}
    assert spent(before, after) == {"Ingress": 2.5, "raylet": 0.0}


def test_processes_that_began_or_ended_in_between_do_not_count():
    assert spent({(1, "a"): 1.0}, {(2, "b"): 7.0}) == {}


def test_a_running_process_has_spent_time():
    assert sum(cpu_seconds([psutil.Process(os.getpid())]).values()) > 0


def test_parts_are_added_up_by_role_and_every_role_has_an_entry():
    parts = {"decoder-a": 1.0, "decoder-b": 2.0, "haproxy": 0.5, "ProxyActor": 0.25, "raylet": 4.0}
    expected = dict.fromkeys(ROLES, 0.0) | {"decoder": 3.0, "proxy": 0.75, "other": 4.0}
    assert by_role(parts) == expected


def test_a_running_process_has_memory_of_its_own_and_a_share_of_what_it_shares():
    me = [psutil.Process(os.getpid())]
    assert sum(resident_mib(me).values()) >= sum(own_mib(me).values()) > 0
