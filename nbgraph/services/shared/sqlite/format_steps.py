"""The steps from each format of a studio's database to the next. A released step never changes: add one at the end.

The tables of the newest format are beside the services that read them. A change of a table, or of JSON in a column,
needs a step here that migrates a folder of the format before, and a folder written by the new code in `tests/fixtures`.
"""

STATS_AS_COLUMNS = """
CREATE TABLE stats_as_columns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    columns TEXT NOT NULL
);
INSERT INTO stats_as_columns
SELECT number, session_id, json_array(
    1,
    json_array(session_id),
    json_array(node),
    json_array(source),
    json_array(type),
    json_array(json('[' || path || ']')),
    json_array(status),
    json_array(json(iif(cached, 'true', 'false'))),
    json_array(started),
    json_array(seconds),
    json_array(ram_before),
    json_array(ram_after),
    json_array(ram_peak),
    json_array(vram_before),
    json_array(vram_peak),
    json_array(vram_reserved),
    json_array(model_loads),
    json_array(model_hits),
    json_array(seed),
    json_array(error)
)
FROM node_stats ORDER BY number;
DROP TABLE node_stats;
ALTER TABLE stats_as_columns RENAME TO node_stats;
CREATE INDEX node_stats_by_session ON node_stats (session_id);

CREATE TABLE numbered_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    node TEXT NOT NULL,
    output TEXT NOT NULL,
    material TEXT NOT NULL,
    resources TEXT NOT NULL,
    sources BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    created REAL NOT NULL,
    hits INTEGER NOT NULL,
    used REAL NOT NULL
);
INSERT INTO numbered_entries
SELECT number, key, type, node, output, material, resources, sources, bytes, seconds, created, hits, used
FROM cache_entries;
DROP TABLE cache_entries;
ALTER TABLE numbered_entries RENAME TO cache_entries;
CREATE INDEX cache_entries_by_use ON cache_entries (used);
CREATE INDEX cache_entries_by_node ON cache_entries (node);
CREATE TRIGGER cache_entry_added AFTER INSERT ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER cache_entry_dropped AFTER DELETE ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries - 1, bytes = bytes - old.bytes;
END;
"""
"""1 to 2: stats are batches of JSON columns, and numbers of cache entries are never reused."""

SIZES_OF_IMAGE_FILES = """
CREATE TABLE images_with_sizes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    image_name TEXT NOT NULL UNIQUE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mode TEXT NOT NULL,
    category TEXT NOT NULL,
    is_intermediate INTEGER NOT NULL,
    starred INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    created TEXT NOT NULL,
    content TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    search_text TEXT NOT NULL,
    file_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
INSERT INTO images_with_sizes
SELECT number, image_name, width, height, mode, category, is_intermediate, starred, session_id, node_id, created,
    content, bytes, metadata, search_text, bytes, sha256
FROM images;
DROP TABLE images;
ALTER TABLE images_with_sizes RENAME TO images;
CREATE INDEX images_by_session ON images (session_id);
CREATE INDEX intermediate_images ON images (is_intermediate) WHERE is_intermediate;
"""
"""2 to 3: the record of an image has the size of its file in a column of its own, as that of tensors has."""

STATS_BY_NAME = """
UPDATE node_stats SET columns = json_object(
    'rows', json_extract(columns, '$[0]'),
    'session_id', json_extract(columns, '$[1]'),
    'node', json_extract(columns, '$[2]'),
    'source', json_extract(columns, '$[3]'),
    'type', json_extract(columns, '$[4]'),
    'path', json_extract(columns, '$[5]'),
    'status', json_extract(columns, '$[6]'),
    'cached', json_extract(columns, '$[7]'),
    'started', json_extract(columns, '$[8]'),
    'seconds', json_extract(columns, '$[9]'),
    'ram_before', json_extract(columns, '$[10]'),
    'ram_after', json_extract(columns, '$[11]'),
    'ram_peak', json_extract(columns, '$[12]'),
    'vram_before', json_extract(columns, '$[13]'),
    'vram_peak', json_extract(columns, '$[14]'),
    'vram_reserved', json_extract(columns, '$[15]'),
    'model_loads', json_extract(columns, '$[16]'),
    'model_hits', json_extract(columns, '$[17]'),
    'seed', json_extract(columns, '$[18]'),
    'error', json_extract(columns, '$[19]')
)
WHERE json_valid(columns) AND json_type(columns) = 'array';
UPDATE node_stats SET columns = json_set(columns, '$.batch', json('[1]'))
WHERE json_valid(columns) AND json_type(columns) = 'object' AND json_type(columns, '$.batch') IS NULL;
"""
"""3 to 4: columns of stats have names, and count the nodes that ran in one call; before, each ran alone."""

CONTENT_OF_IMAGES = """
UPDATE images SET content = '';
"""
"""4 to 5: the content of an image covers its transparency and its colour profile; it is computed again on demand."""

GRAPH_DOCUMENTS = """
CREATE TABLE graph_documents (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    thumbnail BLOB NOT NULL
);
CREATE TABLE graph_document_versions (
    document_id TEXT NOT NULL REFERENCES graph_documents (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    saved REAL NOT NULL,
    nodes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    kernel TEXT NOT NULL,
    is_kept INTEGER NOT NULL,
    graph TEXT NOT NULL,
    PRIMARY KEY (document_id, number)
);
CREATE INDEX graph_document_facts ON graph_document_versions (document_id, number, saved, nodes, bytes);
"""
"""5 to 6: graph documents, stored by name with their versions."""

HEADS_AND_SOURCES = """
CREATE TABLE cache_heads (number INTEGER PRIMARY KEY AUTOINCREMENT, head TEXT NOT NULL UNIQUE);
INSERT INTO cache_heads (head) SELECT '' WHERE EXISTS (SELECT 1 FROM cache_entries);
CREATE TABLE entries_with_heads (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    head INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    created REAL NOT NULL,
    hits INTEGER NOT NULL,
    used REAL NOT NULL,
    named INTEGER NOT NULL,
    node TEXT NOT NULL,
    resources TEXT NOT NULL,
    sources BLOB NOT NULL,
    inputs TEXT NOT NULL,
    output TEXT NOT NULL
);
INSERT INTO entries_with_heads
SELECT number, key, type, 1, bytes, seconds, created, hits, used,
    iif(json_valid(resources), json_array_length(resources), 0), node, resources, sources, material, output
FROM cache_entries ORDER BY number;
DROP TABLE cache_entries;
ALTER TABLE entries_with_heads RENAME TO cache_entries;
CREATE INDEX cache_entries_by_use ON cache_entries (used);
CREATE INDEX cache_entries_by_node ON cache_entries (node);
CREATE INDEX cache_entries_by_type ON cache_entries (type);
CREATE TRIGGER cache_entry_added AFTER INSERT ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER cache_entry_dropped AFTER DELETE ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries - 1, bytes = bytes - old.bytes;
END;
CREATE TABLE cache_sources (
    source BLOB NOT NULL,
    entry INTEGER NOT NULL,
    PRIMARY KEY (source, entry)
) WITHOUT ROWID;
INSERT OR IGNORE INTO cache_sources
WITH RECURSIVE parts (entry, place) AS (
    SELECT number, 1 FROM cache_entries WHERE length(sources) > 0
    UNION ALL
    SELECT entry, place + 16 FROM parts JOIN cache_entries ON number = entry WHERE place + 16 <= length(sources)
)
SELECT substr(sources, place, 16), entry FROM parts JOIN cache_entries ON number = entry;
"""
"""6 to 7: the head of a key source, which many cached results share, is stored once; descendants are found by key.

Results that were stored before keep their whole key source in `inputs`, with an empty head.
"""

WORKERS_OF_STATS = """
UPDATE node_stats SET columns = json_set(columns, '$.worker', json('[""]'), '$.device', json('[""]'))
WHERE json_valid(columns) AND json_type(columns) = 'object' AND json_type(columns, '$.worker') IS NULL;
"""
"""7 to 8: stats say which worker of a cluster ran a node, and on which device; before, it was this process."""

STEPS = (
    STATS_AS_COLUMNS,
    SIZES_OF_IMAGE_FILES,
    STATS_BY_NAME,
    CONTENT_OF_IMAGES,
    GRAPH_DOCUMENTS,
    HEADS_AND_SOURCES,
    WORKERS_OF_STATS,
)
MARKS = {2: ("node_stats", "columns"), 3: ("images", "file_bytes")}
"""Formats 1 to 4 were released under number 1. 3 and 4 differ only in JSON; the step between them may run twice."""
