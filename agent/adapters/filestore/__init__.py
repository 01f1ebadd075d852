"""The file store on a directory of this head: the walk, leases, the trash."""
