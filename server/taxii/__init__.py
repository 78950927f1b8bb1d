"""The door for programs: TAXII 2.1.

app.register_blueprint(blueprint(hub))
register(app, hub)
"""

from tocsin.server.taxii.middleware import register
from tocsin.server.taxii.routes import blueprint

__all__ = ["blueprint", "register"]
