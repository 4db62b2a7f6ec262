# A hub in a container: `docker compose up` (docs/operations.md, "Many processes").
FROM python:3.13-slim AS packages
COPY requirements/core.txt /tmp/core.txt
# each package is pinned by its hash; nothing is built from source
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/core.txt

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/hub PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HUB_HOME=/srv/hub HUB_BIND=0.0.0.0:8484
COPY --from=packages /opt/venv /opt/venv
COPY LICENSE /opt/hub/
COPY hub /opt/hub/hub
COPY connectors /opt/hub/connectors
COPY flows /opt/hub/flows
COPY mappings /opt/hub/mappings
RUN printf '#!/bin/sh\nexec python -m hub "$@"\n' > /usr/local/bin/hub && chmod 755 /usr/local/bin/hub \
    && useradd --system --uid 10001 --no-create-home hub && install -d -m 0700 -o hub /srv/hub
USER hub
WORKDIR /srv/hub
VOLUME /srv/hub
EXPOSE 8484
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "hub"]
CMD ["up"]
