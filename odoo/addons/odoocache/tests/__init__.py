from . import test_tools
from . import test_purge
from . import test_send
from . import test_post
from . import test_http
from . import test_rights
from . import test_context
from . import test_settings
