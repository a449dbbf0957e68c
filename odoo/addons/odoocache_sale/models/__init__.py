from . import ir_http
from . import odoocache
from . import website
from . import website_page
