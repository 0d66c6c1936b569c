"""Lossless: nothing is lost, doubled or out of order, whatever fails.

    clients ── proxies ── server ── data          (clients, links, proxy, stage)
       |          |          |
       |          └─ nemesis ┘                    faults at random from a seed (nemesis)
       v
    history                                       append-only, what was asked, answered and told (history)
       v
    checker                                       pure: history -> violations (checker and its rules)

`runs` plays one seed: load and faults, then heal, settle, read all with a fresh client and from the database,
judge. `python -m tests.lossless` plays seed after seed. `broken` starts a server with a bug that the checker
must find; `scenarios` has a short way to each of them. `absence` is about a JavaScript client that misses a
thousand messages.
"""
