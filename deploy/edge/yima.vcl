# Varnish 7 in front of read nodes, for what is public: pages, keys, guidance, offline bundles, the API's description.
# Everything else goes through. Needs vmod xkey (Debian: varnish-modules).
#   curl -X PURGE   -H 'Surrogate-Key: keys' http://127.0.0.1/    forgets every document of the tag
#   curl -X REFRESH -H 'Surrogate-Key: keys' http://127.0.0.1/    asks for it again, and has it meanwhile
vcl 4.1;

import std;
import xkey;

backend yima {
    .host = "127.0.0.1";
    .port = "8080";
    .probe = { .url = "/v1/keys"; .interval = 2s; .timeout = 1s; .window = 3; .threshold = 2; .initial = 2; }
}

# Who may purge.
acl operators { "127.0.0.1"; }

sub vcl_recv {
    if (req.method == "PURGE" || req.method == "REFRESH") {
        if (client.ip !~ operators) { return (synth(403)); }
        if (!req.http.Surrogate-Key) { return (synth(400, "Surrogate-Key is required")); }
        if (req.method == "PURGE") {
            set req.http.Purged = xkey.purge(req.http.Surrogate-Key);
        } else {
            set req.http.Purged = xkey.softpurge(req.http.Surrogate-Key);
        }
        return (synth(200, req.http.Purged + " documents"));
    }
    # No public document depends on a cookie; the routes of the sign-in read them.
    if (req.url !~ "^/sign-(in|out)") { unset req.http.Cookie; }
    # While a node answers, a copy may be so old that the next request gets it and a new one is fetched behind it.
    # Not of the offline bundle's index, which is asked for at the moment of its next release.
    if (std.healthy(req.backend_hint)) {
        set req.grace = 60s;
        if (req.url == "/v1/offline-bundle") { set req.grace = 0s; }
    }
}

sub vcl_backend_response {
    if (beresp.http.Surrogate-Key && beresp.http.CDN-Cache-Control ~ "max-age=[0-9]") {
        # RFC 9213: the lifetime for caches like this one.
        set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
        # While no node answers.
        set beresp.grace = 1d;
        # For asking by entity tag.
        set beresp.keep = 1d;
        set beresp.http.xkey = beresp.http.Surrogate-Key;
    } else {
        set beresp.uncacheable = true;
    }
}

sub vcl_deliver {
    unset resp.http.xkey;
    unset resp.http.Surrogate-Key;
}
