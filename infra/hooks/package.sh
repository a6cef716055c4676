#!/bin/sh
# Unpacks the deployment package into dist/app, so that azd deploys exactly what "make package" builds.
set -eu
cd "$(dirname "$0")/../.."

make package
rm -rf dist/app
.venv/bin/python -m zipfile -e dist/app.zip dist/app
