# What the database of make replay has besides; run by up behind setup.py of 19, with its names.
# ruff: noqa: F821

# The second website loads nothing of third parties before its visitor agrees.
env.ref("website.website2").block_third_party_domains = True

page("About us", "<p>We sell desks.</p>")  # /about-us

# Live chat: the button shows while somebody who answers is there. Nobody signs in as this
# one, so nothing says that they have gone (mail.presence).
operator = env["res.users"].create({
    "name": "Olga Operator", "login": "operator",
    "group_ids": [(4, env.ref("base.group_user").id), (4, env.ref("im_livechat.im_livechat_group_user").id)]})
first.channel_id.user_ids += operator
env["mail.presence"].create({"user_id": operator.id, "status": "online"})


def said(record, number, **values):
    for i in range(number):
        record.with_context(mail_create_nosubscribe=True).message_post(
            body=f"Opinion {i + 1}", message_type="comment", subtype_xmlid="mail.mt_comment",
            author_id=env.ref("base.partner_demo_portal").id, **values)


# Reviews of products and comments on blog posts, more than are loaded at once (30).
env.ref("website_sale.product_comment").active = True
env.ref("website_blog.opt_blog_post_comment").active = True
for product in env["product.template"].search([("is_published", "=", True)], order="id"):
    said(product, 35, rating_value=4)
for post in env["blog.post"].search([]):
    said(post, 35)

# One forum, as most have: /forum leads to it. Those of the courses are put away.
env["slide.channel"].search([("forum_id", "!=", False)]).write({"forum_id": False})
env["forum.forum"].search([("id", "!=", env.ref("website_forum.forum_help").id)]).write({"active": False})

env["ir.cron"].search([]).write({"active": False})
env.cr.commit()
print("setup is done")
