"""What this hub is asked and what it answers, for programs: OpenAPI 3.1.

Written by hand, filled in with the constants and settings that the door itself
goes by.  It tells nothing that is secret, so anybody may read it.

app.register_blueprint(blueprint(hub))
"""

from tocsin.server.taxii.openapi.document import blueprint, document

__all__ = ["blueprint", "document"]
