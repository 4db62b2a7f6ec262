"""Which parts of a hub a process runs. The code of each is the same wherever it runs."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """One thing that a process of a hub does by itself, in the order in which they are started; they stop the other way
    round. Everything else, such as a change by a person, is done by whichever process was asked for it."""

    #: sends deliveries
    OUTBOX = "outbox"
    #: works events in batches
    BOOKS = "books"
    #: reads what events wait for
    FETCH = "fetch"
    #: asks for tokens ahead of their end
    TOKENS = "tokens"
    #: asks systems what changed
    POLL = "poll"
    #: puts the ticks of schedules into the inbox
    SCHEDULE = "schedule"
    #: works all of a class again, in pages
    REPLAY = "replay"
    #: looks for what a lost wake-up or a crash left behind
    SWEEP = "sweep"
    #: looks whether somebody is to be told of something
    ALERTS = "alerts"
    #: answers on an address: webhooks, OAuth callbacks, API and console
    WEB = "web"


#: `hub up`: all of a hub in one process
ALL = frozenset(Part)
#: `hub web`: what comes in is committed and answered; nothing is worked
WEB = frozenset({Part.WEB})
#: `hub worker`
WORKER = ALL - WEB
