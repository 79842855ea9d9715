"""Random work through both ORMs: they, and a plain cursor, always tell the story of the model.

COHERENCE_CASES is the number of random sequences, COHERENCE_STEPS the length of each, and
COHERENCE_SEED chooses others. COHERENCE_SHRINK=0 leaves a failure as long as it was found.
"""

from __future__ import annotations

import os

from django.test import TransactionTestCase
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.storm_django.coherence_work import BothWork

CASES = int(os.environ.get("COHERENCE_CASES", "40"))
STEPS = int(os.environ.get("COHERENCE_STEPS", "25"))
SEED = int(os.environ.get("COHERENCE_SEED", "1"))
SHRINK = os.environ.get("COHERENCE_SHRINK", "1") == "1"


class CoherenceMachineTest(TransactionTestCase):
    def test_both_orms_and_a_plain_cursor_tell_the_story_of_the_model(self) -> None:
        run_state_machine_as_test(
            seed(SEED)(BothWork),
            settings=settings(
                max_examples=CASES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
                phases=[Phase.generate, *([Phase.shrink] if SHRINK else [])],
            ),
        )
