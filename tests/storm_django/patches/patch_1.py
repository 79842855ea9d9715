"""A patch that leaves a row behind."""


def apply(store):
    store.execute("INSERT INTO storm_patched VALUES (7)")
