from . import ir_http
from . import product_wishlist
from . import website
