"""Filling an index again from what lies in the bucket, and from nothing else.

`trust` says which keys count; `statements` reads every bundle; `journal`, `receipts`,
`records` and `trees` file what each kind of object tells, if there is a reason to believe it;
`reindexer` runs them in order and `report` keeps count. `ahead` notices an index that is
older than its bucket. `docs/operating.md` has the operator's side.
"""
