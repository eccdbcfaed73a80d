"""What stages that are commands begin with; a node type of such a name is written in quotes."""

COMMAND_NAMES = frozenset(
    {
        *("?", "cache", "default", "draw_execution_graph", "draw_graph", "exit", "graph", "help", "history", "images"),
        *("load", "models", "nodes", "python", "quit", "save", "session", "show", "stats", "undo"),
    }
)
