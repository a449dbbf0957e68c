/** @odoo-module **/

import { AlertDialog, ConfirmationDialog } from "@web/core/confirmation_dialog/confirmation_dialog";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";

// Entries of the menu "Site" in the website editor.
const menus = registry.category("website_custom_menus");

const isDisplayed = (env) => !!env.services.website.currentWebsite && env.services.website.isDesigner;

function show({ dialog }, body) {
    dialog.add(AlertDialog, { title: _t("Page Cache"), body });
}

async function purge(services, scope, kwargs = {}) {
    show(services, await services.orm.call("odoocache.purge", "purge", [scope], kwargs));
}

menus.add("odoocache.menu_purge_page", {
    isDisplayed,
    openWidget: (services) =>
        purge(services, "page", { path: services.website.contentWindow.location.pathname }),
});
menus.add("odoocache.menu_purge_website", {
    isDisplayed,
    openWidget: (services) =>
        purge(services, "website", { website_id: services.website.currentWebsite.id }),
});
menus.add("odoocache.menu_purge_all", {
    isDisplayed,
    openWidget: (services) =>
        services.dialog.add(ConfirmationDialog, {
            body: _t("Every stored page is dropped. Odoo will be busy for a while."),
            confirm: () => purge(services, "all"),
            cancel: () => {},
        }),
});
menus.add("odoocache.menu_status", {
    isDisplayed,
    openWidget: async (services) =>
        show(services, await services.orm.call("odoocache.purge", "status_line", [])),
});
