# The services and the edge of a region, as ECS runs them: one static binary and the system's certificates.
#   docker buildx build --platform linux/arm64,linux/amd64 -t REGISTRY/domicile:VERSION --push .
# BUILDPLATFORM, TARGETOS and TARGETARCH are buildx's own: the compiler runs on the machine that builds, for the one that is to run.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags '-s -w' -o /out/domicile ./cmd/domicile

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/domicile /domicile
# Logs go to standard error; the task definition names region, role and topology.
# The root file system is read-only where it runs: what is spooled while the directory's copy is loaded goes here.
VOLUME /tmp
ENTRYPOINT ["/domicile"]
CMD ["serve", "--help"]
