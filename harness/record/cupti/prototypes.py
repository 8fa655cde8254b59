"""Signatures and structures of libcupti, as cupti_callbacks.h and cupti_activity.h declare them."""

from __future__ import annotations

import ctypes
from typing import Any

Subscriber = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)
Request = ctypes.CFUNCTYPE(
    None,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.POINTER(ctypes.c_size_t),
)
Complete = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t
)

ARGUMENTS: dict[str, list[Any]] = {
    "cuptiGetVersion": [ctypes.c_void_p],
    "cuptiGetTimestamp": [ctypes.c_void_p],
    "cuptiGetResultString": [ctypes.c_int, ctypes.c_void_p],
    "cuptiGetCallbackName": [ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p],
    "cuptiSetThreadIdType": [ctypes.c_int],
    "cuptiSubscribe": [ctypes.c_void_p, Subscriber, ctypes.c_void_p],
    "cuptiSubscribe_v2": [ctypes.c_void_p, Subscriber, ctypes.c_void_p, ctypes.c_void_p],
    "cuptiUnsubscribe": [ctypes.c_void_p],
    "cuptiEnableCallback": [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32],
    "cuptiGetGraphNodeId": [ctypes.c_uint64, ctypes.c_void_p],
    "cuptiGetGraphId": [ctypes.c_uint64, ctypes.c_void_p],
    "cuptiGetGraphExecId": [ctypes.c_uint64, ctypes.c_void_p],
    "cuptiActivityRegisterCallbacks": [Request, Complete],
    "cuptiActivityEnable": [ctypes.c_int],
    "cuptiActivityDisable": [ctypes.c_int],
    "cuptiActivityEnableRuntimeApi": [ctypes.c_uint32, ctypes.c_uint8],
    "cuptiActivityEnableDriverApi": [ctypes.c_uint32, ctypes.c_uint8],
    "cuptiActivityFlushAll": [ctypes.c_uint32],
    "cuptiActivityGetNextRecord": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p],
    "cuptiActivityGetNumDroppedRecords": [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p],
    "cuptiActivityPushExternalCorrelationId": [ctypes.c_int, ctypes.c_uint64],
    "cuptiActivityPopExternalCorrelationId": [ctypes.c_int, ctypes.c_void_p],
}


class SubscriberParams(ctypes.Structure):
    _fields_ = (
        ("structSize", ctypes.c_size_t),
        ("subscriberName", ctypes.c_char_p),
        ("oldSubscriberName", ctypes.c_void_p),
        ("oldSubscriberSize", ctypes.c_size_t),
    )


class ResourceData(ctypes.Structure):
    """CUpti_ResourceData: what a callback of the resource domain is about."""

    _fields_ = (
        ("context", ctypes.c_uint64),
        ("stream", ctypes.c_uint64),
        ("descriptor", ctypes.c_uint64),
    )


class GraphData(ctypes.Structure):
    """CUpti_GraphData, the descriptor of callbacks about CUDA graphs."""

    _fields_ = (
        ("graph", ctypes.c_uint64),
        ("original_graph", ctypes.c_uint64),
        ("node", ctypes.c_uint64),
        ("original_node", ctypes.c_uint64),
        ("node_type", ctypes.c_int32),  # 0 whatever the node is, in CUPTI 13.0
        ("dependency", ctypes.c_uint64),
        ("graph_exec", ctypes.c_uint64),
    )
