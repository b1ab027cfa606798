"""The pace of a live stream: schedule, windows, and the choice of the network, on a clock of the test's own."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction
from types import SimpleNamespace

import pytest

from codecvsr.streaming.controller import Controller
from codecvsr.streaming.frame_queue import FrameQueue, LiveFrame, Section
from codecvsr.streaming.latencies import Latencies
from codecvsr.streaming.schedule import Schedule
from codecvsr.streaming.session import WindowPlan

NAMES = ("codecvsr", "codecvsr-fast", "bicubic")
SECTION = Section(0, "h264", 48, 64, Fraction(24), True)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def controlled():
    clock, events = Clock(), []
    return Controller(NAMES, events.append, clock=clock), clock, events


def run(controller, clock, seconds, behind=0.0, load=0.2):
    """Windows of a second."""
    for _ in range(seconds):
        controller.choose(behind)
        controller.measured(load, 1.0)
        clock.now += 1


def test_it_goes_down_one_by_one_while_behind_and_says_so(controlled):
    controller, clock, events = controlled
    run(controller, clock, 3, behind=0.1)
    assert controller.level == 0 and not events
    controller.choose(0.5)
    controller.choose(0.5)
    controller.choose(0.5)  # there is nothing below
    assert controller.level == 2 and controller.changes == 2
    assert [(e.old, e.new) for e in events] == [("codecvsr", "codecvsr-fast"), ("codecvsr-fast", "bicubic")]
    assert events[0].message == "behind schedule by 0.5 s: codecvsr-fast in place of codecvsr."


def test_far_behind_it_takes_the_fastest_at_once(controlled):
    controller, _, events = controlled
    controller.choose(5.0)
    assert controller.level == 2 and len(events) == 1


def test_it_comes_back_when_there_is_time_to_spare(controlled):
    controller, clock, events = controlled
    controller.choose(5.0)
    run(controller, clock, 30)
    assert controller.level == 0
    assert events[-1].message == "on schedule: codecvsr again, in place of codecvsr-fast."


def test_it_stays_where_there_is_no_time_to_spare(controlled):
    controller, clock, _ = controlled
    controller.choose(0.5)
    run(controller, clock, 60, load=0.8)
    assert controller.level == 1


def test_a_better_network_that_does_not_keep_up_is_tried_ever_more_rarely(controlled):
    controller, clock, _events = controlled
    tries = []
    for _ in range(400):
        controller.choose(0.5 if controller.level == 0 else 0.0)
        if controller.level == 0:
            tries.append(clock.now)
        controller.measured(0.2, 1.0)
        clock.now += 1
    distances = [b - a for a, b in itertools.pairwise(tries)]
    assert distances == sorted(distances) and distances[-1] >= 40 and len(tries) < 12


def test_without_a_schedule_nothing_changes():
    controller = Controller(NAMES, lambda event: None, is_active=False)
    controller.choose(100.0)
    assert controller.level == 0 and not controller.is_too_slow(100.0)


def frame(seconds, arrived, was_late=False):
    return LiveFrame(SimpleNamespace(), seconds, arrived, was_late, SECTION)


def test_the_schedule_is_that_of_the_source():
    now = time.monotonic()
    schedule = Schedule()
    for i in range(5):  # a burst, as HLS gives them
        schedule.add(frame(i * 0.5, now - 10))
    assert schedule.age(frame(0, 0)) == pytest.approx(10, abs=0.2)
    assert schedule.age(frame(2, 0)) == pytest.approx(8, abs=0.2)  # not late, as it is not due yet


def test_frames_that_waited_for_this_machine_do_not_move_the_schedule():
    now = time.monotonic()
    schedule = Schedule()
    schedule.add(frame(0, now - 10))
    schedule.add(frame(1, now, was_late=True))
    assert schedule.age(frame(1, 0)) == pytest.approx(9, abs=0.2)


@pytest.mark.parametrize(
    ("latency", "rate", "made", "look_ahead"),
    [(0, 25, 1, 0), (0.02, 25, 1, 0), (0.04, 25, 1, 1), (1, 15, 12, 4), (1, 10, 7, 4), (1, 60, 28, 4), (60, 25, 28, 4)],
)
def test_a_frame_waits_no_longer_than_the_latency(latency, rate, made, look_ahead):
    plan = WindowPlan.of(latency, rate)
    assert (plan.made, plan.look_ahead) == (made, look_ahead)
    assert (plan.made + plan.look_ahead - 1) / rate <= latency


def test_quantiles_of_latencies():
    latencies = Latencies()
    assert latencies.quantile(0.5) is None
    for i in range(1000):
        latencies.add(i / 1000)
    assert latencies.quantile(0.5) == pytest.approx(0.5, abs=0.02)
    assert latencies.quantile(0.99) == pytest.approx(0.99, abs=0.02)
    latencies.add(1e9)
    assert latencies.quantile(1) == pytest.approx(60, abs=0.1)


def test_the_queue_ends_with_its_frames_and_then_its_error():
    queue = FrameQueue(capacity=2)
    assert not queue.wait_for_room() and queue.get(0.01) is None
    queue.put(frame(0, 0))
    queue.end(ValueError("gone"))
    assert queue.get(1).seconds == 0
    with pytest.raises(ValueError, match="gone"):
        queue.get(1)
    queue = FrameQueue()
    queue.end()
    with pytest.raises(EOFError):
        queue.get(1)
