//! What `frigate/stats` carries, as far as Vigie knows it.

use serde_json::{Map, Value, json};

use crate::mqtt::payload::DeviceStats;

/// A device's figures in Frigate's words: `cameras`, `detectors`, `service`.
pub fn of(stats: &DeviceStats<'_>) -> Value {
    let mut cameras = Map::new();
    let mut infer = Vec::new();
    for (name, camera) in &stats.cameras {
        let skipped = (camera.capture_fps - camera.process_fps).max(0.0);
        infer.extend(camera.latency_ms.infer.map(|infer| infer.median));
        cameras.insert(
            name.to_string(),
            json!({
                "camera_fps": tenth(camera.capture_fps),
                "process_fps": tenth(camera.process_fps),
                "skipped_fps": tenth(skipped),
                "detection_fps": tenth(camera.process_fps),
                "pid": Value::Null,
                "capture_pid": Value::Null,
                "ffmpeg_pid": Value::Null,
            }),
        );
    }
    let speed = infer.iter().sum::<f64>() / infer.len().max(1) as f64;
    let fps: f64 = stats.cameras.values().map(|camera| camera.process_fps).sum();
    json!({
        "cameras": cameras,
        "detectors": { "vigie": { "inference_speed": tenth(speed), "pid": Value::Null } },
        "detection_fps": tenth(fps),
        "service": {
            "uptime": stats.uptime_s,
            "version": stats.version,
            "temperatures": stats.temperature_c.map(|celsius| json!({ "cpu": tenth(celsius) })).unwrap_or(json!({})),
        },
    })
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
