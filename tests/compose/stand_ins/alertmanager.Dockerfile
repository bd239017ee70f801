# A stand-in for prom/alertmanager: Debian's package, with the same user, paths and command line.
FROM prometheus-base
RUN install --directory --owner=nobody --group=nogroup /alertmanager
USER nobody
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]
