"""Results in a folder: what is in the rows is not trusted, and what other kernels do is seen at once."""


def test_a_poisoned_cache_row_is_a_miss_and_goes(open_folder):
    services = open_folder().services
    database = services.database
    for number, (type_name, output) in enumerate(
        [("add", "not json"), ("add", '{"value": {}}'), ("os.system", "{}"), ("l2i", '{"image":{"image_name":"../x"}}')]
    ):
        with database.transaction() as connection:
            connection.execute(
                "INSERT INTO cache_entries (key, type, node, output, material, resources, sources, bytes, seconds,"
                " created, hits, used) VALUES (?, ?, 'n', ?, '{}', '[]', x'', 1, 1, 1, 0, 1)",
                (bytes([number] * 16), type_name, output),
            )
    for number in range(4):
        assert services.invocation_cache.get(bytes([number] * 16)) is None
    assert services.invocation_cache.status().size == 0
