from . import odoocache
from . import product_template
