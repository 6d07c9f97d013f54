"""Trials: a plan with an end. The requests on record say whether a tenant is on one, and until when. Pure.

A trial lasts until its end or until it is converted, whatever is requested in between: a cancellation that is taken
back leaves it as it was.
"""

from collections.abc import Sequence
from typing import Final

from tenantctl.model.tenant import Intent, IntentKind

TRIAL_ENDED: Final = "trial.ended"  # journalled when it takes effect, in place of a cancellation


def agreed_trial(intents: Sequence[Intent]) -> Intent | None:
    """The trial that a tenant was asked for with, ended or not; None if there is none, or it was converted."""
    for intent in reversed(intents):
        if intent.kind is IntentKind.CONVERT:
            return None
        if intent.kind is IntentKind.TRIAL:
            return intent
    return None


def is_on_trial(intents: Sequence[Intent]) -> bool:
    """Whether a trial is the newest request: at its end the tenant leaves, or has begun to."""
    return bool(intents) and intents[-1].kind is IntentKind.TRIAL
