"""Outside technology, each adapter behind a port."""
