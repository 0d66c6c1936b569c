"""The contract: every request, answer, broadcast and error of the API as a typed struct.

One source for validation, for the reference pages and for generated client types. Modules:
`values` (small vocabularies and the two formats, time and id), `errors` (what a failed request is answered),
`requests` (what clients ask), `objects` (parts that answers and broadcasts share), `answers` (what requests
are answered), `events` (what the server tells unasked).
"""
