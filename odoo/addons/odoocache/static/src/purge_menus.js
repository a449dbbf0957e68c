/** @odoo-module **/

import { AlertDialog, ConfirmationDialog } from "@web/core/confirmation_dialog/confirmation_dialog";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";

// Entries of the menu "Site" in the website editor.
const menus = registry.category("website_custom_menus");

const isDisplayed = (env) => !!env.services.website.currentWebsite && env.services.website.isDesigner;

async function purge({ dialog, orm }, scope, kwargs = {}) {
    const { state, message } = await orm.call("odoocache.purge", "purge", [scope], kwargs);
    const titles = { done: _t("Dropped"), queued: _t("Not dropped yet"), impossible: _t("Not dropped") };
    dialog.add(AlertDialog, { title: titles[state], body: message });
}

menus.add("odoocache.menu_purge_page", {
    isDisplayed,
    openWidget: (services) => {
        const { website } = services;
        // The page may be known by its record, in whatever language it is shown.
        const record = website.currentWebsite.metadata.mainObject;
        return purge(services, "page", {
            path: website.contentWindow.location.pathname,
            record: record?.model && record.id ? { model: record.model, id: record.id } : null,
        });
    },
});
menus.add("odoocache.menu_purge_website", {
    isDisplayed,
    openWidget: (services) => purge(services, "website", { website_id: services.website.currentWebsite.id }),
});
menus.add("odoocache.menu_purge_all", {
    isDisplayed,
    openWidget: (services) =>
        services.dialog.add(ConfirmationDialog, {
            body: _t("All kept pages are dropped. Odoo makes them anew as visitors ask for them, and is busy for a while."),
            confirm: () => purge(services, "all"),
            cancel: () => {},
        }),
});
