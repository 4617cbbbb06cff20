#!/bin/sh
# What `make demo` shows: real HAProxy lines as trees.
set -eu
haspan=${HASPAN:-build/haspan}
"$haspan" samples/demo/haproxy.log
cat <<'EOF'

These are real lines of a HAProxy 3.2, kept in samples/demo/haproxy.log. Now yours:
    build/haspan /var/log/haproxy.log
    build/haspan --to http://localhost:4318 /var/log/haproxy.log.1.gz
EOF
