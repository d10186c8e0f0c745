# Lumbung in one image: every service of docker-compose.yml runs it with another command.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/lumbung \
    && /opt/lumbung/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY harvester ./harvester
COPY indexer ./indexer
COPY web ./web
RUN /opt/lumbung/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --home-dir /var/lib/lumbung --create-home lumbung \
    && install -d -o lumbung -g lumbung -m 700 /var/lib/lumbung/data
COPY --from=build /opt/lumbung /opt/lumbung
ENV PATH=/opt/lumbung/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LUMBUNG_HOME=/var/lib/lumbung/data
USER lumbung
WORKDIR /var/lib/lumbung
VOLUME /var/lib/lumbung/data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive even while a tier is away: a restart of the site would mend none of them.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["python", "-c", "from http.client import *; c = HTTPConnection('127.0.0.1', 8080, timeout=9); c.request('GET', '/healthz'); c.getresponse()"]
ENTRYPOINT ["lumbung"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
