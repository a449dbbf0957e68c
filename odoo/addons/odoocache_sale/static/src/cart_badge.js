/** @odoo-module **/

// Pages from the edge show an empty cart. The number of things in it is in a
// cookie that the server keeps, so no request is needed to fill it in.

const COOKIE = /(?:^|;\s*)odoocache_cart=(\d+)/;

function fillCartBadge(emptyToo) {
    const found = document.cookie.match(COOKIE);
    if (!found && !emptyToo) {
        return;
    }
    const count = found ? parseInt(found[1]) : 0;
    for (const badge of document.querySelectorAll(".my_cart_quantity")) {
        badge.textContent = String(count);
        badge.classList.toggle("d-none", !count);
        if (count) {
            // Shops may hide the link to an empty cart.
            badge.closest("li.o_wsale_my_cart")?.classList.remove("d-none");
        }
    }
}

if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", () => fillCartBadge(false));
} else {
    fillCartBadge(false);
}

// A page that the browser brings back as it was left may show an old number.
window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
        fillCartBadge(true);
    }
});
