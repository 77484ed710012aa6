"""The harness room: plans every case a machine can run, launches them all, and judges each as it lands.

The harness stays outside, the payload inside: nothing here imports Parsl, RADICAL, PSI/J or Flux. It may import
``site_configs``, ``dashboard_client`` and the root room's ``paths``, ``errors`` and ``release``; nothing imports it.
"""
