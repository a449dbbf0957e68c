/** @odoo-module **/

// Pages from the edge show an empty wishlist. Which products are in it is in a
// cookie that the server keeps. Handing them to Odoo's own script before it
// starts (website_sale_wishlist keeps them in sessionStorage and compares their
// number with the badge) saves it a request for each page.

const COOKIE = /(?:^|;\s*)odoocache_wishlist=([\d.]+)/;
// The name until Odoo 18, and since.
const STORED = ["website_sale_wishlist_product_ids", "wishlist_product_ids"];

function fillWishlist() {
    const found = document.cookie.match(COOKIE);
    if (!found) {
        return;
    }
    const ids = found[1].split(".").map(Number);
    for (const name of STORED) {
        sessionStorage.setItem(name, JSON.stringify(ids));
    }
    for (const badge of document.querySelectorAll(".my_wish_quantity")) {
        badge.textContent = String(ids.length);
        badge.classList.toggle("d-none", !ids.length);
        badge.closest("li.o_wsale_my_wish_hide_empty")?.classList.remove("d-none");
    }
    for (const button of document.querySelectorAll(".o_add_wishlist:not(.js_delete_product), .o_add_wishlist_dyn")) {
        if (ids.includes(Number(button.dataset.productProductId))) {
            button.disabled = true;
            button.classList.add("disabled");
            button.setAttribute("disabled", "disabled");
            if (button.classList.contains("o_add_wishlist")) {
                button.querySelector(".fa")?.classList.replace("fa-heart-o", "fa-heart");
            }
        }
    }
}

if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", fillWishlist);
} else {
    fillWishlist();
}
