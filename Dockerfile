# The service in one image; which process a container runs is its command. docker-compose.yml has them all.
# Pinned by tag: nobody here has looked at a registry, so no digest is claimed. Put yours behind an @.
FROM python:3.13.14-slim
WORKDIR /app
COPY requirements/server.txt requirements/server.txt
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/server.txt
# A volume that is mounted at /data gets this owner and mode.
RUN useradd --system --uid 10001 --no-create-home custody && install -d -o 10001 -g 10001 -m 0700 /data /objects
COPY LICENSE pyproject.toml ./
COPY artifacts artifacts
COPY provenance provenance
COPY migrations migrations
COPY api api
COPY scripts/container/custody-server /usr/local/bin/custody-server
# The work tree is read-only later, so what Python would write beside it is written now.
RUN python -m compileall -q artifacts provenance migrations api
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["custody-server"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8080"]
