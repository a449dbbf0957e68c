from . import ir_http
from . import odoocache
from . import product_wishlist
from . import website
