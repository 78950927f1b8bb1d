"""The TAXII 2.1 endpoints, as a Flask blueprint and its middleware.

app.register_blueprint(blueprint(services))
register(app, services)
"""

from tocsin.server.taxii.middleware import count_requests, register
from tocsin.server.taxii.routes import blueprint, is_quick_poll

__all__ = ["blueprint", "count_requests", "is_quick_poll", "register"]
