from . import odoocache
from . import website
